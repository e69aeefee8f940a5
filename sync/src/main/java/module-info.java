/** The tracking protocol, for emulators that keep their own RAM. */
@SuppressWarnings({"requires-transitive-automatic", "module"}) // Agrona; friends that are not there
module dev.smudge.sync {
  requires transitive dev.smudge.bitmap;
  requires transitive dev.smudge.ring;
  requires jdk.jfr;
  requires transitive org.agrona;
  requires org.jctools.core.jdk11;
  requires static transitive org.jspecify;

  exports dev.smudge.sync;
  exports dev.smudge.sync.inhibitor;
  exports dev.smudge.sync.rcu;
  exports dev.smudge.sync.tracker;
  exports dev.smudge.sync.verify;
  exports dev.smudge.sync.watch;
  exports dev.smudge.sync.embed to
      dev.smudge.core,
      dev.smudge.kvm,
      dev.smudge.mmu;
}
