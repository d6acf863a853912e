/** QR codes for terminals. */
import { renderUnicodeCompact } from "uqr"

/** The text as a code of half-block characters; a text that fits into none as a note. */
export const qr = (text: string): string => {
  const bytes = new TextEncoder().encode(text).length
  return bytes > maxBytes
    ? `(${bytes} bytes are too long for a QR code)`
    : renderUnicodeCompact(text, { ecc: "L", border: 1 })
}

/** Capacity of the largest code in byte mode at level L (ISO/IEC 18004, table 7). */
const maxBytes = 2_953
