/** The tracking protocol, for emulators that keep their own RAM. */
@SuppressWarnings("requires-transitive-automatic") // Agrona: ErrorHandler, Agent
module dev.smudge.sync {
  requires transitive dev.smudge.bitmap;
  requires transitive dev.smudge.ring;
  requires transitive org.agrona;
  requires org.jctools.core.jdk11;
  requires static transitive org.jspecify;

  exports dev.smudge.sync;
}
