/*
 * zip.h - the table of contents of a zip file.
 *
 * Everything comes from the central directory at the end of the file: local headers of
 * real archives hold zeros or 0xFFFFFFFF where the sizes should be. Zip64 is read.
 * Source: PKWARE APPNOTE.TXT 6.3, sections 4.3 and 4.5.3.
 *
 *   local header + name + extra + data   one per member
 *   central directory                    one record per member: method, CRC, sizes, place
 *   [zip64 end record + locator]
 *   end record + comment                 within the last 65 557 bytes
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"
#include "io/map.h"

#define ZIP_MAX_DIRECTORY (64 << 20) /* bytes */
#define ZIP_MAX_MEMBERS 131072

enum { ZIP_STORED = 0, ZIP_DEFLATED = 8 };

struct zip_member {
    const char *name; /* borrowed from struct zip */
    int method;
    uint32_t crc;
    int64_t packed, size; /* bytes in the file, bytes of the content */
    int64_t local;        /* offset of the local header */
    int64_t data;         /* offset of the packed bytes */
};

struct zip {
    struct zip_member *member; /* owned; in the order of the directory */
    size_t n;
    char *names;               /* owned */
};

/* Does a file that begins with these bytes look like a zip? */
bool zip_is(const unsigned char *bytes, size_t n);

/*
 * Read the directory of `m`, and each member's local header for where its data begins.
 * Checked: every member lies inside the file, before the directory, and overlaps no
 * other; no name comes twice, is absolute, empty, or leaves its directory; a stored member is
 * as large as its content and a deflated one not larger than deflate can make it; nothing
 * is encrypted or split over disks. Errors, without a path unless reading failed: ERR_OS,
 * ERR_FORMAT with the offset, ERR_UNSUPPORTED (encryption). Methods are the caller's to judge.
 */
bool zip_open(struct zip *z, const struct map *m, struct err *err);
void zip_close(struct zip *z); /* a zeroed one is fine */

/* The member called `name`, or NULL. */
const struct zip_member *zip_find(const struct zip *z, const char *name);
