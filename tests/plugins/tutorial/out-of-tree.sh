#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# out-of-tree.sh PLUGIN.c SCANNER SYMBOLS.py: builds the tutorial as somebody else would,
# with nothing but pkg-config and a compiler, and lets the scanner load it.
set -eu
source=$1 scanner=$2 symbols=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

PKG_CONFIG_PATH=$CHARGEHOST_TEST_BUILD/meson-uninstalled
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
${CC:-cc} -std=gnu11 -Wall -Werror -shared -fPIC \
  -fvisibility=hidden $(pkg-config --cflags chargehost-1) "$source" \
  -o "$folder/proto-toy.so" $(pkg-config --libs chargehost-1)

verdict=$(LD_LIBRARY_PATH=$CHARGEHOST_TEST_BUILD/host "$scanner" "$folder/proto-toy.so" \
  proto-toy 3>&1 >/dev/null)
echo "$verdict"
test "$verdict" = '{"ok":true}'
python3 "$symbols" "$CHARGEHOST_TEST_BUILD"/host/libchargehost-1.so "$folder/proto-toy.so"
