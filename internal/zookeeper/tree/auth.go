package tree

import (
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"gregor/internal/zookeeper/proto"
)

// Authenticate answers a client's auth request: the ids that its connection then has, and AuthFailed for a scheme that
// there is not, upon which ZooKeeper closes the connection. A connection begins with the id of its address, IPID. The
// schemes are digest, whose auth is user:password, and ip, which proves nothing new.
func (o *Options) Authenticate(ids []proto.ID, req *proto.AuthRequest) ([]proto.ID, proto.Code) {
	switch req.Scheme {
	case "digest":
		id := Digest(string(req.Auth))
		if id == o.SuperDigest {
			ids = addID(ids, proto.ID{Scheme: "super"})
		}
		return addID(ids, proto.ID{Scheme: "digest", ID: id}), proto.OK
	case "ip":
		return ids, proto.OK
	}
	return ids, proto.AuthFailed
}

// IPID is what a connection is from its beginning: its address without port or zone.
func IPID(addr string) proto.ID { return proto.ID{Scheme: "ip", ID: addr} }

// Digest is what ACLs and the superuser's key hold of user:password: user:base64(SHA-1(user:password)).
func Digest(userPassword string) string {
	user, _, _ := strings.Cut(userPassword, ":")
	sum := sha1.Sum([]byte(userPassword))
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

func addID(ids []proto.ID, id proto.ID) []proto.ID {
	if slices.Contains(ids, id) {
		return ids
	}
	return append(slices.Clone(ids), id)
}

// users is the answer to whoAmI: of a digest the user alone (AuthUtil).
func users(ids []proto.ID) []proto.ID {
	out := make([]proto.ID, 0, len(ids))
	for _, id := range ids {
		if id.Scheme == "digest" {
			id.ID, _, _ = strings.Cut(id.ID, ":")
		}
		out = append(out, id)
	}
	return out
}

// Allowed says whether an ACL gives any of the permissions in perm to one of the ids. An empty ACL lets everybody in,
// and so does SkipACL.
func (o *Options) Allowed(acl []proto.ACL, perm int32, ids []proto.ID) bool {
	if o.SkipACL || len(acl) == 0 {
		return true
	}
	for _, a := range acl {
		if a.Perms&perm != 0 && a.ID.Scheme == "world" && a.ID.ID == "anyone" {
			return true // nearly always
		}
	}
	for _, id := range ids {
		if id.Scheme == "super" {
			return true
		}
	}
	for _, a := range acl {
		if a.Perms&perm == 0 {
			continue
		}
		for _, id := range ids {
			if id.Scheme == a.ID.Scheme && matches(id, a.ID.ID) {
				return true
			}
		}
	}
	return false
}

func matches(id proto.ID, expr string) bool {
	switch id.Scheme {
	case "digest":
		return id.ID == expr
	case "ip":
		net, bits, ok := ipNet(expr)
		addr, ok2 := ipv4(id.ID)
		return ok && ok2 && (addr^net)>>(32-bits) == 0
	}
	return false
}

// settleACL is the ACL that a node gets of the one that was asked for: every entry once, the scheme auth replaced by
// who asks, InvalidACL if it is empty or an entry makes no sense (PrepRequestProcessor.fixupACL).
func settleACL(acl []proto.ACL, ids []proto.ID) ([]proto.ACL, proto.Code) {
	if len(acl) == 1 && acl[0].ID == (proto.ID{Scheme: "world", ID: "anyone"}) {
		return acl, proto.OK // nearly always
	}
	var out []proto.ACL
	for i, a := range acl {
		if slices.Contains(acl[:i], a) {
			continue
		}
		switch a.ID.Scheme {
		case "world":
			if a.ID.ID != "anyone" {
				return nil, proto.InvalidACL
			}
		case "auth":
			known := false
			for _, id := range ids {
				if id.Scheme == "digest" {
					known = true
					out = append(out, proto.ACL{Perms: a.Perms, ID: id})
				}
			}
			if !known {
				return nil, proto.InvalidACL
			}
			continue
		case "digest":
			if !validDigest(a.ID.ID) {
				return nil, proto.InvalidACL
			}
		case "ip":
			if _, _, ok := ipNet(a.ID.ID); !ok {
				return nil, proto.InvalidACL
			}
		default:
			return nil, proto.InvalidACL
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, proto.InvalidACL
	}
	return out, proto.OK
}

// validDigest wants two parts around a colon. Java's split drops empty ones at the end, not at the beginning.
func validDigest(expr string) bool {
	user, hash, found := strings.Cut(strings.TrimRight(expr, ":"), ":")
	_ = user
	return found && hash != "" && !strings.Contains(hash, ":")
}

// ipNet reads a.b.c.d or a.b.c.d/bits. ZooKeeper 3.8 has no IPv6 here.
func ipNet(expr string) (addr uint32, bits int, ok bool) {
	a, b, found := strings.Cut(expr, "/")
	bits = 32
	if found {
		n, err := strconv.Atoi(b)
		if err != nil || n < 0 || n > 32 {
			return 0, 0, false
		}
		bits = n
	}
	addr, ok = ipv4(a)
	return addr, bits, ok
}

func ipv4(s string) (addr uint32, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return 0, false
	}
	for _, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || n > 255 {
			return 0, false
		}
		addr = addr<<8 | uint32(n)
	}
	return addr, true
}
