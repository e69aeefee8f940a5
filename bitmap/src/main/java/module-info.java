/** Atomic dirty bitmap. */
module dev.smudge.bitmap {
  requires static org.jspecify;

  exports dev.smudge.bitmap;
}
