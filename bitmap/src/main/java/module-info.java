/** Bitmaps with one bit per page, and sets of pages. */
module dev.smudge.bitmap {
  requires static transitive org.jspecify;

  exports dev.smudge.bitmap;
}
