/* Search in index files of sochdb-bulk. src/lib.rs says what each function does and what it asks of its caller.

   Functions that return int32_t return a status: 0 done, 1 an argument that cannot be meant, 2 no such file, 3 the operating
   system refused, 4 no index, 5 written in a later version of the format, 6 damaged, 7 a mistake of the library, 8 the vectors
   are in another file, which cannot be used. The reason is in sbi_last_error, for the thread that called. */

#ifndef SOCHDB_BULK_INDEX_H
#define SOCHDB_BULK_INDEX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct SbiIndex SbiIndex;

#define SBI_ABI_VERSION 1

uint32_t sbi_abi_version(void);
size_t sbi_last_error(char *buffer, size_t capacity_bytes);
int32_t sbi_open(const uint8_t *path, size_t path_bytes, SbiIndex **opened);
void sbi_close(SbiIndex *index);
int32_t sbi_describe(const SbiIndex *index, char *buffer, size_t capacity_bytes, size_t *length_bytes);
int32_t sbi_search(const SbiIndex *index, const float *queries, size_t rows, size_t dim, size_t k, size_t ef_search,
                   size_t threads, uint64_t *ids, float *distances, size_t capacity_hits);
int32_t sbi_ids(const SbiIndex *index, const uint64_t **ids);
int32_t sbi_text_ids(const SbiIndex *index, const uint64_t **offsets, const uint8_t **texts);
int32_t sbi_vectors(const SbiIndex *index, const float **vectors);

#ifdef __cplusplus
}
#endif

#endif
