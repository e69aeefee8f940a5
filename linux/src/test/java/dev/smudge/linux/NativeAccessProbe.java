package dev.smudge.linux;

/** Makes one call to Linux: the main class of {@link NativeAccessTest}'s JVMs. */
final class NativeAccessProbe {
  private NativeAccessProbe() {}

  public static void main(String[] arguments) {
    System.out.println("pages of " + Libc.pageSize() + " bytes");
  }
}
