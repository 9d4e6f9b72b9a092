// What a file leaves in the page cache while it is written from its beginning to its end.

import Glibc

/// Has the disk begin with what was written, and lets the page cache go of what is on the disk.
///
/// Gigabytes that nobody reads soon would take a new page for every four kilobytes, at the cost of other files' pages; and on
/// a virtual machine that has given its free memory back to the host, each new page is asked for there, which takes longer than
/// writing to it. So the same few are used again. It is not waited for until the disk is done: what it has not written yet stays,
/// and is looked at again the next time.
struct WriteBehind {
  /// Bytes from one time to the next.
  private static let step = 8 << 20
  /// How far back it is looked for pages that the disk was not done with before.
  private static let lookedBack = 1 << 30

  private var written = 0
  private var advised = 0

  /// So many bytes more were written to the file.
  mutating func wrote(_ count: Int, to descriptor: Int32) {
    written += count
    guard written - advised >= Self.step else { return }
    advised = written
    let start = max(0, written - Self.lookedBack)
    posix_fadvise(descriptor, off_t(start), off_t(written - start), POSIX_FADV_DONTNEED)
  }
}
