/** Rewind, save states and reset of a guest, over its dirty pages. */
@SuppressWarnings("module") // a friend that is not there
module dev.smudge.snapshot {
  requires jdk.jfr;
  requires transitive dev.smudge.sync;
  requires static transitive org.jspecify;

  exports dev.smudge.snapshot;
  exports dev.smudge.snapshot.stream;
  exports dev.smudge.snapshot.owner to
      dev.smudge.migration;
}
