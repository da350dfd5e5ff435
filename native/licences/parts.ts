/** A third party's work that gets into the executable by another way than an import. */
export type NativePart = {
  name: string;
  /** SPDX expression. */
  licence: string;
  /** What stands over a licence's text where that has a place for it. */
  copyright?: string;
  /** Files in texts/, in this order. */
  texts: readonly string[];
  /** Whose version it has: it is inside of it. */
  of: "bun" | "llama.cpp";
};

const mit = (of: NativePart["of"], name: string, copyright: string): NativePart => ({
  name,
  licence: "MIT",
  copyright: `Copyright (c) ${copyright}`,
  texts: ["MIT"],
  of,
});

const bsd = (name: string, clauses: 2 | 3, copyright: string): NativePart => ({
  name,
  licence: `BSD-${clauses}-Clause`,
  copyright: `Copyright (c) ${copyright}`,
  texts: [`BSD-${clauses}-Clause`],
  of: "bun",
});

const apache = (name: string): NativePart => ({ name, licence: "Apache-2.0", texts: ["Apache-2.0"], of: "bun" });
const own = (name: string, licence: string, ...texts: string[]): NativePart => ({ name, licence, texts, of: "bun" });

/** What Bun links statically, as its LICENSE.md lists it, but for what Windows alone has. */
const ofBun: readonly NativePart[] = [
  own("WebKit (JavaScriptCore)", "LGPL-2.0-or-later AND BSD-2-Clause", "JavaScriptCore", "LGPL-2.0"),
  {
    ...own("BoringSSL", "Apache-2.0 AND ISC AND OpenSSL AND MIT", "Apache-2.0", "OpenSSL", "ISC"),
    copyright: "Copyright (c) Google Inc.",
  },
  own("brotli", "MIT", "brotli"),
  own("libarchive", "BSD-2-Clause AND BSD-3-Clause", "libarchive"),
  bsd("lol-html", 3, "2019 Cloudflare, Inc., Ivan Nikulin"),
  mit("bun", "ls-hpack", "2018 LiteSpeed Technologies Inc"),
  mit("bun", "ls-qpack", "2018 LiteSpeed Technologies Inc"),
  {
    name: "lsquic",
    licence: "MIT AND BSD-3-Clause",
    copyright: "Copyright (c) 2017 LiteSpeed Technologies Inc; parts Copyright 2015 The Chromium Authors",
    texts: ["MIT", "BSD-3-Clause"],
    of: "bun",
  },
  mit("bun", "mimalloc", "Microsoft Corporation, Daan Leijen"),
  mit("bun", "picohttpparser", "2009-2014 Kazuho Oku, Tokuhiro Matsuno, Daisuke Murase, Shigeo Mitsunari"),
  bsd("zstd", 3, "Meta Platforms, Inc. and affiliates"),
  { ...own("simdutf", "MIT OR Apache-2.0", "simdutf") },
  own("tinycc", "LGPL-2.1-or-later", "LGPL-2.1"),
  apache("uSockets"),
  apache("uWebSockets"),
  {
    ...own("zlib-ng", "Zlib", "Zlib"),
    copyright: "(C) 1995-2025 Jean-loup Gailly and Mark Adler",
  },
  own("c-ares", "MIT", "c-ares"),
  own("ICU", "Unicode-3.0", "ICU"),
  bsd(
    "base64",
    2,
    "2005-2007 Nick Galbreath, 2015-2018 Wojciech Muła, 2016-2017 Matthieu Darbois, 2013-2022 Alfred Klomp",
  ),
  mit("bun", "libdeflate", "2016 Eric Biggers, 2024 Google LLC"),
  {
    name: "libjpeg-turbo",
    licence: "IJG AND BSD-3-Clause AND Zlib",
    copyright:
      "Copyright (C) 2009-2025 D. R. Commander, 2015 Viktor Szathmáry.\nThis software is based in part on the work of the Independent JPEG Group.",
    texts: ["BSD-3-Clause", "Zlib"],
    of: "bun",
  },
  bsd("libspng", 2, "2018-2021 Randy <randy408@protonmail.com>"),
  bsd("libwebp", 3, "2010 Google Inc."),
  apache("highway"),
  mit("bun", "uucode", "2025 Jacob Sandlund"),
  apache("TigerBeetle's IO code"),
  own("libc++abi", "Apache-2.0 WITH LLVM-exception", "Apache-2.0", "LLVM-exception"),
  mit("bun", "esbuild, of which Bun's transpiler is a port", "2020 Evan Wallace"),
  own("acorn and acorn-walk", "MIT", "acorn"),
  mit("bun", "Node's modules as packages (assert to vm-browserify)", "their authors, as each package names them"),
  own("SQLite", "blessing", "SQLite"),
];

/** What is compiled into llama.cpp's libraries. */
const ofLlama: readonly NativePart[] = [
  mit("llama.cpp", "llama.cpp and ggml", "2023-2026 The ggml authors"),
  mit("llama.cpp", "JSON for Modern C++", "2013-2025 Niels Lohmann"),
  mit("llama.cpp", "cpp-httplib", "2017-2025 Yuji Hirose"),
  mit("llama.cpp", "minja", "2024 Google LLC"),
  mit("llama.cpp", "node-addon-api", "2017 Node.js API collaborators"),
];

export const nativeParts: readonly NativePart[] = [...ofBun, ...ofLlama];

/** Of the C++ compiler, which packs for Linux bring along. */
export const gccLicence = {
  licence: "GPL-3.0-or-later WITH GCC-exception-3.1",
  texts: ["GCC-exception-3.1", "GPL-3.0"],
} as const;
