/** Reads nothing but the one module: no Agrona, which is an automatic one. */
module consumer {
  requires dev.smudge.sync;
}
