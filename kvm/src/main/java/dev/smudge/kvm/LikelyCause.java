package dev.smudge.kvm;

import dev.smudge.linux.Errno;

/**
 * Explains why a call of KVM's has failed.
 *
 * <p>Source: Linux Documentation/virt/kvm/api.rst, the errors of each call.
 */
final class LikelyCause {
  private LikelyCause() {}

  /** The likely cause, in a few words: of this call if it has one of its own, or of any call. */
  static String of(String call, int errno) {
    String special =
        switch (call) {
          case "open" -> ofOpen(errno);
          case "KVM_SET_USER_MEMORY_REGION" -> ofMemoryRegion(errno);
          case "KVM_GET_DIRTY_LOG", "KVM_CLEAR_DIRTY_LOG" -> ofDirtyLog(errno);
          case "KVM_CAP_DIRTY_LOG_RING" -> ofRing(errno);
          case "KVM_CREATE_VCPU" -> ofVcpu(errno);
          case "KVM_RUN" ->
              errno == Errno.EFAULT
                  ? "the guest touched an address whose RAM is not mapped here any more"
                  : "";
          case "mmap dirty ring" ->
              errno == Errno.EFAULT ? "the VM has no rings, or smaller ones" : "";
          case "mmap kvm_run" ->
              errno == Errno.EFAULT || errno == Errno.ENODEV
                  ? "the file descriptor is not a vCPU's"
                  : "";
          case "KVM_RESET_DIRTY_RINGS" -> errno == Errno.EINVAL ? "the VM has no dirty rings" : "";
          default -> "";
        };
    return special.isEmpty() ? ofAnyCall(errno) : special;
  }

  private static String ofAnyCall(int errno) {
    return switch (errno) {
      case Errno.EPERM -> "not allowed: the VM belongs to another process, or a policy forbids it";
      case Errno.EINVAL -> "a capability is missing, or an argument is outside what is allowed";
      default -> Errno.meaning(errno);
    };
  }

  private static String ofOpen(int errno) {
    return switch (errno) {
      case Errno.EACCES, Errno.EPERM ->
          "no permission: run as a member of the group that owns it (mostly kvm), and let a"
              + " container have the device";
      case Errno.ENOENT ->
          "no such device: the module kvm is not loaded, or a container does not have the device";
      case Errno.ENODEV, Errno.ENXIO ->
          "no virtualization here: off in the firmware, or not nested";
      default -> "";
    };
  }

  private static String ofMemoryRegion(int errno) {
    return switch (errno) {
      case Errno.EEXIST -> "the guest addresses overlap another slot's";
      case Errno.EINVAL ->
          "an address or size that is unaligned or wraps, a slot id out of range, an unknown flag,"
              + " a slot to delete that there is not, or one whose size, RAM or read-only flag would"
              + " change: delete it first";
      default -> "";
    };
  }

  private static String ofDirtyLog(int errno) {
    return switch (errno) {
      case Errno.ENXIO -> "the VM has dirty rings, and no bitmap beside them";
      case Errno.ENOENT -> "no such slot, or its dirty log is off";
      case Errno.EFAULT -> "the bitmap is outside the memory of this process; its bits are gone";
      case Errno.EINVAL ->
          "a slot id out of range, or pages that do not begin at a multiple of 64, or do not end at"
              + " one or at the slot's end";
      default -> "";
    };
  }

  private static String ofRing(int errno) {
    return switch (errno) {
      case Errno.E2BIG -> "the ring is too large";
      case Errno.EINVAL ->
          "the size is no power of two, or less than a page, or it was set before, or there is a"
              + " vCPU already, or the kernel has no dirty rings";
      default -> "";
    };
  }

  private static String ofVcpu(int errno) {
    return switch (errno) {
      case Errno.EEXIST -> "there is a vCPU of that id";
      case Errno.EINVAL -> "the id is out of range";
      default -> "";
    };
  }
}
