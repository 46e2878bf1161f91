package cli

import (
	"errors"
	"fmt"
	"unicode/utf16"
)

// checkPath refuses what is no path of a node, in the words of ZooKeeper's client (PathUtils.validatePath). Positions are
// Java's: of UTF-16 units.
func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New("Path length must be > 0") //nolint:staticcheck // ZooKeeper's words
	case path[0] != '/':
		return errors.New("Path must start with / character") //nolint:staticcheck // ZooKeeper's words
	case path == "/":
		return nil
	case path[len(path)-1] == '/':
		return errors.New("Path must not end with / character") //nolint:staticcheck // ZooKeeper's words
	}
	units := utf16.Encode([]rune(path))
	ends := func(i int) bool { return i == len(units) || units[i] == '/' }
	for i := 1; i < len(units); i++ {
		reason := ""
		u := units[i]
		switch {
		case u == 0:
			reason = "null character not allowed"
		case u == '/' && units[i-1] == '/':
			reason = "empty node name specified"
		case u == '.' && units[i-1] == '.' && units[i-2] == '/' && ends(i+1), u == '.' && units[i-1] == '/' && ends(i+1):
			reason = "relative paths not allowed"
		case u <= 0x1f || u >= 0x7f && u <= 0x9f || u >= 0xd800 && u <= 0xf8ff || u >= 0xfff0:
			reason = "invalid character"
		}
		if reason != "" {
			return fmt.Errorf("Invalid path string \"%s\" caused by %s @%d", path, reason, i) //nolint:staticcheck // ZooKeeper's words
		}
	}
	return nil
}
