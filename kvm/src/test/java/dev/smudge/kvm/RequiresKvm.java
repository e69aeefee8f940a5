package dev.smudge.kvm;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Tests that need {@code /dev/kvm}: skipped, with a line that says so, where it cannot be opened;
 * with {@code -Dsmudge.kvm=required} they run, and fail.
 */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(RequiresKvm.Condition.class)
@interface RequiresKvm {
  /** Asks once. */
  final class Condition implements ExecutionCondition {
    private static final String REASON = reason();

    private static String reason() {
      if ("required".equals(System.getProperty("smudge.kvm"))) {
        return "";
      }
      try {
        Kvm.open().close();
        return "";
      } catch (KvmException | UnsupportedOperationException e) {
        String reason = "Tests of KVM are skipped, /dev/kvm cannot be used: " + e.getMessage();
        System.out.println(reason);
        return reason;
      }
    }

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
      return REASON.isEmpty()
          ? ConditionEvaluationResult.enabled("/dev/kvm can be used")
          : ConditionEvaluationResult.disabled(REASON);
    }
  }
}
