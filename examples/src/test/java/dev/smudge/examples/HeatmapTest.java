package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The command {@code heatmap}, and what it shows. */
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class HeatmapTest {
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  private int run(String... args) {
    return Heatmap.run(
        new PrintStream(out, true, StandardCharsets.UTF_8),
        new PrintStream(err, true, StandardCharsets.UTF_8),
        args);
  }

  private String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  @Test
  void line_ofPiecesWrittenWholeInPartAndNot_isDarkerTheMoreWasWritten() {
    WriteHistory history = new WriteHistory(4);
    history.nextInterval();
    history.written(0x10000, 1);
    history.written(0x20000, 1);
    history.written(0x30000, 1);
    assertEquals("@@@", history.line());
    history.nextInterval();
    history.written(0x20000, 1);
    assertEquals(" @ ", history.line());
    history.nextInterval();
    history.written(0x20000, 16); // more pages than it may have pieces
    assertEquals(0x8000, history.pieceSize());
    assertEquals(" @@ ", history.line());
    assertEquals(0x20000, history.touchedBytes());
    history.nextInterval();
    history.written(0x28000, 4);
    assertEquals("  + ", history.line());
  }

  @Test
  void written_rangesOfAnyPlaceAndLength_stayWithinThePieces() {
    WriteHistory history = new WriteHistory(10);
    history.nextInterval();
    for (int i = 0; i < 1_000; i++) {
      history.written((i * 7919L % 5_000) << 20, 1 + i % 600);
      assertTrue(history.touchedBytes() / history.pieceSize() <= 10);
    }
    assertTrue(history.line().length() <= 10);
    assertFalse(history.line().isBlank());
  }

  @Test
  void heatmap_nativeGuest_printsALinePerIntervalAndDrawsAPicture(@TempDir Path directory)
      throws Exception {
    Path png = directory.resolve("map.png");
    int status =
        run("--guest", "native", "--seconds", "1", "--interval", "100", "--png", png.toString());
    assertEquals(0, status, () -> err.toString(StandardCharsets.UTF_8));
    assertEquals(10, out().lines().filter(line -> line.contains(" pages |")).count(), this::out);
    assertTrue(out().contains("Drawn: " + png), this::out);
    BufferedImage picture = ImageIO.read(png.toFile());
    assertNotNull(picture);
    assertEquals(1000, picture.getWidth());
  }

  @Test
  void heatmap_quickJsGuest_takesItsPages() {
    assertEquals(0, run("--seconds", "1", "--calls", "2", "--interval", "50"));
    assertTrue(out().contains("of guest RAM"), this::out);
  }

  @ParameterizedTest
  @CsvSource({
    "--seconds 0, allowed is a whole number from 1 to 3600",
    "--interval 1, allowed is a whole number from 10 to 10000",
    "--png map.jpg, a file whose name ends with .png",
    "--guest x, allowed is quickjs or native or kvm",
    "--vcpus 2, --vcpus is for --guest native",
    "--guest kvm --backend mmu, leave --backend out",
  })
  void heatmap_wrongOption_isToldInOneLineWithWhatIsAllowed(String options, String message) {
    assertEquals(2, run(options.split(" ")));
    String said = err.toString(StandardCharsets.UTF_8);
    assertTrue(said.contains(message), said);
    assertEquals(1, said.lines().count(), said);
  }

  @Test
  void heatmap_directoryOfThePictureMissing_isToldBeforeTheGuestRuns(@TempDir Path directory) {
    Path file = directory.resolve("none").resolve("map.png");
    assertEquals(2, run("--guest", "native", "--seconds", "1", "--png", file.toString()));
    String said = err.toString(StandardCharsets.UTF_8);
    assertTrue(said.contains("a file in a directory that exists"), said);
    assertEquals("", out());
  }

  @Test
  void heatmap_pictureThatCannotBeWritten_fails(@TempDir Path directory) throws Exception {
    Path file = Files.createDirectory(directory.resolve("map.png")); // a directory of that name
    assertEquals(3, run("--guest", "native", "--seconds", "1", "--png", file.toString()));
    assertTrue(err.toString(StandardCharsets.UTF_8).startsWith("heatmap: failed: "));
  }
}
