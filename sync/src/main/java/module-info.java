/** The tracking protocol, for emulators that keep their own RAM. */
module dev.smudge.sync {
  requires transitive dev.smudge.bitmap;
  requires dev.smudge.ring;
  requires org.agrona;
  requires org.jctools.core.jdk11;
  requires static org.jspecify;

  exports dev.smudge.sync;
}
