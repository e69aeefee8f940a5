package dev.smudge.linux;

/** Calls Linux twice: the main class of {@link NativeAccessTest}'s JVMs. */
final class NativeAccessProbe {
  private NativeAccessProbe() {}

  public static void main(String[] arguments) {
    calls(() -> System.out.println("pages of " + Libc.pageSize() + " bytes"));
    calls(() -> System.out.println("opened " + Descriptor.openToRead("/dev/null").fd() / 1000));
    calls(() -> System.out.println("signal " + KickSignal.number()));
  }

  private static void calls(Runnable call) {
    for (int i = 0; i < 2; i++) {
      try {
        call.run();
      } catch (UnsupportedOperationException e) {
        System.out.println(e.getMessage());
      }
    }
  }
}
