/**
 * The tracking protocol, for emulators that keep their own RAM. Agrona, an automatic module, is
 * needed by those alone who call {@code DirtyLog.reaper()} or {@code Rcu.reclaimer()}, which return
 * agents: they require {@code org.agrona} themselves. An image can be linked without it.
 */
@SuppressWarnings({"requires-automatic", "module"}) // Agrona; friends that are not there
module dev.smudge.sync {
  requires transitive dev.smudge.bitmap;
  requires transitive dev.smudge.ring;
  requires jdk.jfr;
  requires static org.agrona;
  requires org.jctools.core.jdk11;
  requires static transitive org.jspecify;

  exports dev.smudge.sync;
  exports dev.smudge.sync.error;
  exports dev.smudge.sync.inhibitor;
  exports dev.smudge.sync.pages;
  exports dev.smudge.sync.rcu;
  exports dev.smudge.sync.tracker;
  exports dev.smudge.sync.verify;
  exports dev.smudge.sync.watch;
  exports dev.smudge.sync.embed to
      dev.smudge.core,
      dev.smudge.kvm,
      dev.smudge.mmu;
  exports dev.smudge.sync.internal.stack to
      dev.smudge.endive,
      dev.smudge.kvm,
      dev.smudge.migration,
      dev.smudge.snapshot;
}
