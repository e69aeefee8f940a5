/** A new emulator, with the kernel's trackers where there are any. */
module consumer {
  requires dev.smudge.core;
  requires dev.smudge.kvm;
  requires dev.smudge.mmu;
}
