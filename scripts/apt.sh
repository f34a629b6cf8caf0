# shellcheck shell=bash
# apt with package lists of its own, under build/apt: reads the mirrors that this machine is
# configured for, and other suites of the same archive, without root and without changing it.

APT=$BUILD/apt
apt_options=(-o "Dir::State::Lists=$APT/lists" -o "Dir::Cache=$APT/cache" -o APT::Sandbox::User=root
	-o Acquire::Retries=3 -qq)

# The URL of Debian's main archive and its keyring option, as this machine is configured
main_archive() {
	# shellcheck disable=SC2016 # apt expands these
	apt-get "${apt_options[@]}" indextargets --format '$(LABEL)|$(SIGNED_BY)|$(REPO_URI)' |
		awk -F'|' '$1 == "Debian" { print $2, $3; exit }'
}

# read_lists [SUITE]: fetch package lists, of another suite when one is named
read_lists() {
	mkdir -p "$APT/lists/partial" "$APT/cache/archives/partial"
	apt-get "${apt_options[@]}" update >&2 || say "notice: not every package list could be read"
	[ -n "${1:-}" ] || return 0
	local keyring uri
	read -r keyring uri < <(main_archive | sed 's/^ /- /') || die "apt knows no Debian archive on this machine"
	[ -f "$keyring" ] || keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	printf "%s [signed-by=$keyring] $uri $1 main\n" deb deb-src >"$APT/$1.list"
	apt_options+=(-o "Dir::Etc::SourceList=$APT/$1.list" -o Dir::Etc::SourceParts=-
		-o "Dir::State::Lists=$APT/lists-$1")
	mkdir -p "$APT/lists-$1/partial"
	apt-get "${apt_options[@]}" update >&2
}
