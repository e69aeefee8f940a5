package dev.smudge.examples.rules.owner;

import dev.smudge.examples.rules.owner.friendly.Friendly;
import dev.smudge.examples.rules.owner.internal.Hidden;
import java.util.List;

/** Three members say more than their users can name, the others do not. */
public final class Api {
  Hidden ofThisPackage = new Hidden();

  public Api(Friendly friendly) {
    this.ofThisPackage = friendly.hidden;
  }

  public List<Hidden> hidden() {
    return List.of(ofThisPackage);
  }

  public static <T extends Hidden> void take(T hidden) {}

  public String name() {
    return "";
  }

  Hidden ofNobody() {
    return ofThisPackage;
  }
}
