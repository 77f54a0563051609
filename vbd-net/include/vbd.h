/* Running pruned nets from C. Made by cbindgen of src/capi.rs: do not edit. */

#ifndef VBD_H
#define VBD_H

#include <stddef.h>
#include <stdint.h>

/*
 What comes out of a net are logits, one a class: their largest is the class, their softmax its probability.
 */
#define VBD_CROSS_ENTROPY 0

/*
 What comes out of a net are values, as many as go in: an autoencoder's, on the scale of its normalised input. They
 are no logits, and have no softmax.
 */
#define VBD_MSE 1

/*
 A net that runs. One thread at a time may use it; load the file again for another.
 */
typedef struct VbdSession VbdSession;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Opens a pruned file.

 `path` is UTF-8 and ends in a zero byte. Returns `NULL` if it cannot be opened or run;
 `vbd_last_error` then says why. What is returned is given back with `vbd_free`.

 # Safety
 `path` is `NULL` or points to a string that ends in a zero byte.
 */
VbdSession *vbd_load(const char *path);

/*
 Gives a session back; `NULL` is fine.

 # Safety
 `session` is `NULL` or comes from `vbd_load`, and is used no more.
 */
void vbd_free(VbdSession *session);

/*
 Values of one input sample: channels times height times width. 0 for `NULL`.

 # Safety
 `session` is `NULL` or comes from `vbd_load`.
 */
size_t vbd_input_len(const VbdSession *session);

/*
 Values that come out for one sample. 0 for `NULL`.

 # Safety
 `session` is `NULL` or comes from `vbd_load`.
 */
size_t vbd_output_len(const VbdSession *session);

/*
 What these values are: `VBD_CROSS_ENTROPY` or `VBD_MSE`. -1 for `NULL`.

 # Safety
 `session` is `NULL` or comes from `vbd_load`.
 */
int32_t vbd_loss(const VbdSession *session);

/*
 The name of before for `vbd_output_len`: what comes out are classes' logits only if `vbd_loss` says so.

 # Safety
 `session` is `NULL` or comes from `vbd_load`.
 */
size_t vbd_classes(const VbdSession *session);

/*
 Runs `samples` samples of raw inputs, row-major, channels first: pixels of 0 to 255, or whatever the net was
 trained on. The normalisation is the net's.

 Reads `samples * vbd_input_len` values and writes `samples * vbd_output_len`. Returns 0, or -1
 with `vbd_last_error` saying why.

 # Safety
 `session` comes from `vbd_load`; no other thread uses it; `pixels` and `outputs` point to as many
 values as are read and written, and do not overlap.
 */
int32_t vbd_run_f32(VbdSession *session,
                    const float *pixels,
                    size_t samples,
                    float *outputs);

/*
 As `vbd_run_f32`, for pixels that are bytes.

 # Safety
 As of `vbd_run_f32`.
 */
int32_t vbd_run_u8(VbdSession *session,
                   const uint8_t *pixels,
                   size_t samples,
                   float *outputs);

/*
 What the last call that failed on this thread failed with; empty if none did. It stands until the
 next failure on this thread.
 */
const char *vbd_last_error(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VBD_H */
