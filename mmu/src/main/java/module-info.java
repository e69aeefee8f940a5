/** Writes found by the memory management unit, through the page tables of this process. */
module dev.smudge.mmu {
  requires dev.smudge.linux;
  requires transitive dev.smudge.core;
  requires static transitive org.jspecify;

  exports dev.smudge.mmu;
}
