"use strict"
/** What a binary is for, as it stands in its name: `linux-x64-gnu`, `darwin-arm64`, ... */

/** Node for Linux comes with one of two C libraries; their binaries do not mix. */
const libc = () => {
  if (process.platform !== "linux") return ""
  const { report } = process
  const before = report.excludeNetwork
  // It would ask every interface for its name otherwise.
  report.excludeNetwork = true
  const { header } = report.getReport()
  report.excludeNetwork = before
  return header.glibcVersionRuntime === undefined ? "-musl" : "-gnu"
}

module.exports = `${process.platform}-${process.arch}${libc()}`
