//! Which nodes a search has met.

/// A set of nodes that is emptied in constant time: a node is in it if its byte is the number of this search.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    epochs: Vec<u8>,
    epoch: u8,
}

impl Visited {
    /// Empties the set and makes room for nodes below `nodes`.
    pub(crate) fn reset(&mut self, nodes: usize) {
        if self.epochs.len() < nodes {
            self.epochs.resize(nodes, 0);
        }
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.epochs.fill(0);
            self.epoch = 1;
        }
    }

    /// Adds a node; false if it was in the set.
    #[inline]
    pub(crate) fn insert(&mut self, node: u32) -> bool {
        let epoch = &mut self.epochs[node as usize];
        let new = *epoch != self.epoch;
        *epoch = self.epoch;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_empties_even_after_the_epochs_wrap() {
        let mut visited = Visited::default();
        for _ in 0..600 {
            visited.reset(3);
            assert!(visited.insert(1));
            assert!(!visited.insert(1));
            assert!(visited.insert(2));
        }
    }
}
