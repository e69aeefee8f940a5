package dev.smudge.kvm;

/**
 * Error numbers of the kernel, and what they mean here.
 *
 * <p>Source: Linux include/uapi/asm-generic/errno-base.h and errno.h; Documentation/virt/kvm/
 * api.rst, the errors of each call.
 */
final class Errno {
  static final int EPERM = 1;
  static final int ENOENT = 2;
  static final int EINTR = 4;
  static final int ENXIO = 6;
  static final int E2BIG = 7;
  static final int EBADF = 9;
  static final int EAGAIN = 11;
  static final int ENOMEM = 12;
  static final int EACCES = 13;
  static final int EFAULT = 14;
  static final int EBUSY = 16;
  static final int EEXIST = 17;
  static final int ENODEV = 19;
  static final int EINVAL = 22;
  static final int ENFILE = 23;
  static final int EMFILE = 24;
  static final int ENOTTY = 25;

  private Errno() {}

  static String name(int errno) {
    return switch (errno) {
      case EPERM -> "EPERM";
      case ENOENT -> "ENOENT";
      case EINTR -> "EINTR";
      case 5 -> "EIO";
      case ENXIO -> "ENXIO";
      case E2BIG -> "E2BIG";
      case EBADF -> "EBADF";
      case EAGAIN -> "EAGAIN";
      case ENOMEM -> "ENOMEM";
      case EACCES -> "EACCES";
      case EFAULT -> "EFAULT";
      case EBUSY -> "EBUSY";
      case EEXIST -> "EEXIST";
      case ENODEV -> "ENODEV";
      case EINVAL -> "EINVAL";
      case ENFILE -> "ENFILE";
      case EMFILE -> "EMFILE";
      case ENOTTY -> "ENOTTY";
      case 38 -> "ENOSYS";
      case 95 -> "EOPNOTSUPP";
      default -> "errno " + errno;
    };
  }

  static String likelyCause(String call, int errno) {
    String special =
        switch (call) {
          case "open" -> ofOpen(errno);
          case "KVM_SET_USER_MEMORY_REGION" -> ofMemoryRegion(errno);
          case "KVM_GET_DIRTY_LOG", "KVM_CLEAR_DIRTY_LOG" -> ofDirtyLog(errno);
          case "KVM_CAP_DIRTY_LOG_RING" -> ofRing(errno);
          case "KVM_CREATE_VCPU" -> ofVcpu(errno);
          case "KVM_RUN" ->
              errno == EFAULT
                  ? "the guest touched an address whose RAM is not mapped here any more"
                  : "";
          case "mmap dirty ring" -> errno == EFAULT ? "the VM has no rings, or smaller ones" : "";
          case "mmap kvm_run" ->
              errno == EFAULT || errno == ENODEV ? "the file descriptor is not a vCPU's" : "";
          case "KVM_RESET_DIRTY_RINGS" -> errno == EINVAL ? "the VM has no dirty rings" : "";
          default -> "";
        };
    return special.isEmpty() ? ofAnyCall(errno) : special;
  }

  private static String ofAnyCall(int errno) {
    return switch (errno) {
      case EPERM -> "not allowed: the VM belongs to another process, or a policy forbids it";
      case EBADF -> "the file descriptor is closed, or is not open for this";
      case ENOTTY -> "the file descriptor is not of that kind, or the kernel lacks the call";
      case ENOMEM -> "no memory left in the kernel";
      case EMFILE -> "this process has too many files open";
      case ENFILE -> "the machine has too many files open";
      case EINVAL -> "a capability is missing, or an argument is outside what is allowed";
      case EFAULT -> "an address outside the memory of this process";
      case EINTR -> "a signal came";
      default -> "no known cause";
    };
  }

  private static String ofOpen(int errno) {
    return switch (errno) {
      case EACCES, EPERM ->
          "no permission: run as a member of the group that owns it (mostly kvm), and let a"
              + " container have the device";
      case ENOENT ->
          "no such device: the module kvm is not loaded, or a container does not have the device";
      case ENODEV, ENXIO -> "no virtualization here: off in the firmware, or not nested";
      default -> "";
    };
  }

  private static String ofMemoryRegion(int errno) {
    return switch (errno) {
      case EEXIST -> "the guest addresses overlap another slot's";
      case EINVAL ->
          "an address or size that is unaligned or wraps, a slot id out of range, an unknown flag,"
              + " a slot to delete that there is not, or one whose size, RAM or read-only flag would"
              + " change: delete it first";
      default -> "";
    };
  }

  private static String ofDirtyLog(int errno) {
    return switch (errno) {
      case ENXIO -> "the VM has dirty rings, and no bitmap beside them";
      case ENOENT -> "no such slot, or its dirty log is off";
      case EFAULT -> "the bitmap is outside the memory of this process; its bits are gone";
      case EINVAL ->
          "a slot id out of range, or pages that do not begin at a multiple of 64, or do not end at"
              + " one or at the slot's end";
      default -> "";
    };
  }

  private static String ofRing(int errno) {
    return switch (errno) {
      case E2BIG -> "the ring is too large";
      case EINVAL ->
          "the size is no power of two, or less than a page, or it was set before, or there is a"
              + " vCPU already, or the kernel has no dirty rings";
      default -> "";
    };
  }

  private static String ofVcpu(int errno) {
    return switch (errno) {
      case EEXIST -> "there is a vCPU of that id";
      case EINVAL -> "the id is out of range";
      default -> "";
    };
  }
}
