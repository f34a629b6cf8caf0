# SPDX-License-Identifier: GPL-2.0
# nm -A of object files, the lowest first: fail when one uses a function of a later one

{ file = $1; sub(/.*\//, "", file); sub(/:.*/, "", file) }
!(file in order) { order[file] = ++files }
$(NF - 1) == "T" { owner[$NF] = file }
$(NF - 1) == "U" { user[++uses] = file; used[uses] = $NF }
END {
	for (i = 1; i <= uses; i++) {
		if (!(used[i] in owner) || order[owner[used[i]]] <= order[user[i]])
			continue
		printf "%s calls %s() of %s, which is above it\n", user[i], used[i], owner[used[i]]
		bad = 1
	}
	exit bad || !uses
}
