/* Classes of a file's raw 8-bit samples: predict MODEL.safetensors PIXELS

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
  size_t len = vbd_input_len(session), classes = vbd_classes(session);
  uint8_t *pixels = malloc(len);
  float *logits = malloc(classes * sizeof *logits);
  FILE *file = fopen(argv[2], "rb");
  if (pixels == NULL || logits == NULL || file == NULL) {
    fprintf(stderr, "error: cannot read %s\n", argv[2]);
    return 1;
  }
  while (fread(pixels, 1, len, file) == len) {
    if (vbd_run_u8(session, pixels, 1, logits) != 0) {
      fprintf(stderr, "error: %s\n", vbd_last_error());
      return 1;
    }
    size_t best = 0;
    for (size_t i = 1; i < classes; i++) {
      if (logits[i] > logits[best]) best = i;
    }
    printf("%zu\n", best);
  }
  fclose(file);
  free(logits);
  free(pixels);
  vbd_free(session);
  return 0;
}
