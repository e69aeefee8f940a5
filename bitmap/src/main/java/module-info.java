/** Atomic dirty bitmap. */
module dev.smudge.bitmap {
  requires static transitive org.jspecify;

  exports dev.smudge.bitmap;
}
