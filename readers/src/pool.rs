//! Reusable buffers: a fresh buffer costs several times the copy that fills it, since every page of it is zeroed by
//! the operating system first.

use std::sync::{Mutex, PoisonError};

use arrow_buffer::{Buffer, ScalarBuffer};

/// A pool of f32 buffers. Cloning a batch out of it is not needed: buffers come back by [`BufferPool::put`].
///
/// How many buffers exist is not bounded here but by whoever bounds the batches in flight.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: Mutex<Vec<Vec<f32>>>,
}

impl BufferPool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer of `len` values. Its content is arbitrary: whoever takes it fills all of it.
    pub fn take(&self, len: usize) -> Vec<f32> {
        let recycled = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match recycled {
            Some(mut buffer) => {
                buffer.resize(len, 0.0);
                buffer
            }
            None => vec![0.0; len],
        }
    }

    /// Makes sure that `count` buffers are there, new ones of `len` values. Those are best made before anything else is: large ones that are
    /// made later may lie in the place of what others free for a moment.
    pub fn reserve(&self, count: usize, len: usize) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while free.len() < count {
            free.push(vec![0.0; len]);
        }
    }

    /// Takes `values` back if nobody else holds them and they came from a `Vec`; mapped memory is just dropped.
    pub fn put(&self, values: ScalarBuffer<f32>) {
        let buffer: Buffer = values.into_inner();
        if let Ok(buffer) = buffer.into_vec::<f32>() {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_taken_again() {
        let pool = BufferPool::new();
        let buffer = pool.take(100);
        let address = buffer.as_ptr();
        pool.put(ScalarBuffer::from(buffer));
        let again = pool.take(50);
        assert_eq!(again.as_ptr(), address);
    }

    #[test]
    fn shared_buffers_are_left_to_their_other_owner() {
        let pool = BufferPool::new();
        let values = ScalarBuffer::from(pool.take(8));
        let other = values.clone();
        pool.put(values);
        assert!(pool.free.lock().unwrap().is_empty());
        assert_eq!(other.len(), 8);
    }
}
