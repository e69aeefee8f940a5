package dev.smudge.snapshot;

/**
 * What an embedder has to save besides RAM: registers, devices, the frame buffer of another chip.
 * It travels with the pages as bytes, whose meaning is the embedder's own.
 *
 * <p>Threads: it is called by the thread that saves or restores, inside that call. It must not call
 * what it is called by.
 */
public interface MachineState {
  /** Nothing besides RAM. */
  MachineState NONE =
      new MachineState() {
        @Override
        public byte[] save() {
          return new byte[0];
        }

        @Override
        public void restore(byte[] bytes) {
          // There is nothing.
        }
      };

  /**
   * Returns the state of now. The bytes are copied before the caller returns, so the same array may
   * be handed out each time; one of the same length each time is cheapest.
   *
   * @return the state, at most 2^30 bytes
   */
  byte[] save();

  /**
   * Sets the state; after all pages of RAM have been written.
   *
   * @param bytes as {@link #save} returned them; read it before this returns, it is used again
   */
  void restore(byte[] bytes);
}
