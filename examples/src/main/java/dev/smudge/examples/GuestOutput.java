package dev.smudge.examples;

/** Takes what a guest prints. Called by the guest's own threads. */
@FunctionalInterface
interface GuestOutput {
  /**
   * One line. The lines of one channel are deterministic, and so is their order; nothing is said
   * about the order between channels.
   *
   * @param channel the vCPU that printed it, 0 or more and small
   * @param text the line, without a line break
   */
  void line(int channel, String text);
}
