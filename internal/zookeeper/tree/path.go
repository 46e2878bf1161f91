package tree

import "strings"

// ValidPath says whether a node may have this path (PathUtils.validatePath): absolute, without empty names, "." and
// "..", without a slash at the end, and without null, control and other characters that have no business in a name. The
// root is valid.
func ValidPath(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	if path == "/" {
		return true
	}
	for rest, more := path[1:], true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	for _, c := range path {
		// What is beyond 16 bits is a pair of surrogates to Java; bytes that are no UTF-8 are U+FFFD.
		if c <= 0x1f || c >= 0x7f && c <= 0x9f || c >= 0xd800 && c <= 0xf8ff || c >= 0xfff0 {
			return false
		}
	}
	return true
}

// hasParent is the check that ZooKeeper makes before it looks for a parent; the whole path is checked later, so that a
// missing parent, or one that may not be written, is told first.
func hasParent(path string) bool {
	return strings.IndexByte(path, '/') >= 0 && strings.IndexByte(path, 0) < 0
}
