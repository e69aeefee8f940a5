package dev.smudge.snapshot;

/**
 * Saves and restores the part of a machine that is not guest RAM: registers, devices, the frame
 * buffer of another chip. It is kept with the pages as bytes in the embedder's own format.
 *
 * <p>Threads: the thread that saves or restores calls it, inside that call. It must not call the
 * object that calls it.
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
   * Returns the present state. The caller copies the bytes before it returns, so the same array may
   * be returned each time; the same length each time is cheapest. Called before the pages are read,
   * so what it writes to guest RAM, and marks, is saved with them.
   *
   * @return the state, at most 2^30 bytes
   */
  byte[] save();

  /**
   * Sets the state. Called after all pages of RAM have been written.
   *
   * @param bytes as {@link #save} returned them; the array is reused after this returns
   */
  void restore(byte[] bytes);
}
