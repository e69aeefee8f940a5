package dev.smudge.mmu;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.util.Optional;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Tests that need a kernel which finds writes: skipped, with a line that says so, where it does
 * not; with {@code -Dsmudge.mmu=required} they run, and fail.
 */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(RequiresMmu.Condition.class)
@interface RequiresMmu {
  /** Asks once. */
  final class Condition implements ExecutionCondition {
    private static final String REASON = reason();

    private static String reason() {
      if ("required".equals(System.getProperty("smudge.mmu"))) {
        return "";
      }
      Optional<String> whyNot = MmuTracker.whyNot();
      whyNot.ifPresent(why -> System.out.println("Tests of the MMU are skipped: " + why));
      return whyNot.orElse("");
    }

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
      return REASON.isEmpty()
          ? ConditionEvaluationResult.enabled("the kernel finds writes")
          : ConditionEvaluationResult.disabled(REASON);
    }
  }
}
