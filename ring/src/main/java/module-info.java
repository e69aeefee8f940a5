/** Dirty ring in the layout of KVM. */
module dev.smudge.ring {
  requires static org.jspecify;

  exports dev.smudge.ring;
}
