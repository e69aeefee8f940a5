/** Live migration of a guest, over its dirty pages. */
module dev.smudge.migration {
  requires transitive dev.smudge.snapshot;
  requires static transitive org.jspecify;

  exports dev.smudge.migration;
}
