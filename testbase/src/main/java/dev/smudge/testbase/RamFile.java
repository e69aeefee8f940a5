package dev.smudge.testbase;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A file to map as guest RAM: once it is truncated, an access past its end is an error. */
public final class RamFile {
  private RamFile() {}

  /** Makes an empty one in a directory. */
  public static FileChannel create(Path directory) throws IOException {
    return FileChannel.open(
        directory.resolve("ram"),
        StandardOpenOption.CREATE,
        StandardOpenOption.READ,
        StandardOpenOption.WRITE);
  }
}
