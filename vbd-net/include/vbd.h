/* Running pruned nets from C. Made by cbindgen of src/capi.rs: do not edit. */

#ifndef VBD_H
#define VBD_H

#include <stddef.h>
#include <stdint.h>

/*
 The outputs are logits, one per class. The class is that of the largest logit; the softmax gives
 probabilities.
 */
#define VBD_CROSS_ENTROPY 0

/*
 The outputs are values, as many as inputs, on the scale of the normalised input: those of an
 autoencoder. They are not logits and have no softmax.
 */
#define VBD_MSE 1

/*
 A loaded net with its buffers. Only one thread at a time may use it; load the file again for
 another thread.
 */
typedef struct VbdSession VbdSession;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Opens a pruned file.

 `path` is UTF-8 and ends in a zero byte. Returns `NULL` if the file cannot be opened or run;
 `vbd_last_error` then returns the reason. Free the session with `vbd_free`.

 # Safety
 `path` is `NULL` or points to a string that ends in a zero byte.
 */
VbdSession *vbd_load(const char *path);

/*
 Frees a session. `NULL` is allowed.

 # Safety
 `session` is `NULL` or was returned by `vbd_load`, and is not used again.
 */
void vbd_free(VbdSession *session);

/*
 Returns the number of values of one input sample: channels times height times width. 0 for
 `NULL`.

 # Safety
 `session` is `NULL` or was returned by `vbd_load`.
 */
size_t vbd_input_len(const VbdSession *session);

/*
 Returns the number of outputs per sample. 0 for `NULL`.

 # Safety
 `session` is `NULL` or was returned by `vbd_load`.
 */
size_t vbd_output_len(const VbdSession *session);

/*
 Returns the kind of outputs: `VBD_CROSS_ENTROPY` or `VBD_MSE`. -1 for `NULL`.

 # Safety
 `session` is `NULL` or was returned by `vbd_load`.
 */
int32_t vbd_loss(const VbdSession *session);

/*
 Former name of `vbd_output_len`. The outputs are logits only if `vbd_loss` returns
 `VBD_CROSS_ENTROPY`.

 # Safety
 `session` is `NULL` or was returned by `vbd_load`.
 */
size_t vbd_classes(const VbdSession *session);

/*
 Runs `samples` samples of raw inputs, row-major, channels first: pixels of 0 to 255, or whatever
 the net was trained on. The net normalises them.

 Reads `samples * vbd_input_len` values and writes `samples * vbd_output_len`. Returns 0, or -1
 on failure; `vbd_last_error` then returns the reason.

 # Safety
 `session` was returned by `vbd_load` and is not used by another thread. `pixels` and `outputs`
 point to as many values as are read and written, and do not overlap.
 */
int32_t vbd_run_f32(VbdSession *session,
                    const float *pixels,
                    size_t samples,
                    float *outputs);

/*
 Like `vbd_run_f32`, for pixels stored as bytes.

 # Safety
 As for `vbd_run_f32`.
 */
int32_t vbd_run_u8(VbdSession *session,
                   const uint8_t *pixels,
                   size_t samples,
                   float *outputs);

/*
 Returns the message of the last failed call on this thread, or an empty string. The pointer is
 valid until the next failure on this thread.
 */
const char *vbd_last_error(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VBD_H */
