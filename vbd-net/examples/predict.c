/* Classes of a file's raw 8-bit samples, or what an autoencoder makes of them: predict MODEL.safetensors PIXELS

   cargo rustc --release -p vbd-net --lib --features capi --crate-type cdylib
   cc -Ivbd-net/include vbd-net/examples/predict.c -Ltarget/release -lvbd_net -o predict */
#include <stdio.h>
#include <stdlib.h>

#include "vbd.h"

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL.safetensors PIXELS\n", argv[0]);
    return 2;
  }
  VbdSession *session = vbd_load(argv[1]);
  if (session == NULL) {
    fprintf(stderr, "error: %s\n", vbd_last_error());
    return 1;
  }
  size_t len = vbd_input_len(session), outputs = vbd_output_len(session);
  int has_classes = vbd_loss(session) == VBD_CROSS_ENTROPY;
  uint8_t *pixels = malloc(len);
  float *output = malloc(outputs * sizeof *output);
  FILE *file = fopen(argv[2], "rb");
  if (pixels == NULL || output == NULL || file == NULL) {
    fprintf(stderr, "error: cannot read %s\n", argv[2]);
    return 1;
  }
  while (fread(pixels, 1, len, file) == len) {
    if (vbd_run_u8(session, pixels, 1, output) != 0) {
      fprintf(stderr, "error: %s\n", vbd_last_error());
      return 1;
    }
    if (!has_classes) {
      for (size_t i = 0; i < outputs; i++) {
        printf(i + 1 < outputs ? "%.9g " : "%.9g\n", output[i]);
      }
      continue;
    }
    size_t best = 0;
    for (size_t i = 1; i < outputs; i++) {
      if (output[i] > output[best]) best = i;
    }
    printf("%zu\n", best);
  }
  fclose(file);
  free(output);
  free(pixels);
  vbd_free(session);
  return 0;
}
