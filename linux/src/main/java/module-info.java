/**
 * The calls to Linux that other modules of Smudge need. It is internal to Smudge: only modules of
 * Smudge can read its package.
 */
@SuppressWarnings("module") // The modules named below are built after this one.
module dev.smudge.linux {
  requires static transitive org.jspecify;

  exports dev.smudge.linux to
      dev.smudge.core,
      dev.smudge.kvm,
      dev.smudge.mmu;
}
