package proto

import (
	"bytes"
	"testing"
)

// What is decoded encodes to what decodes to the same, and takes memory in proportion to the bytes.

func FuzzRequest(f *testing.F) {
	for _, r := range requests() {
		f.Add(int32(r.Op()), r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, op int32, b []byte) {
		r, err := DecodeRequest(Op(op), b)
		if err != nil {
			return
		}
		once := r.Append(nil)
		if len(once) > len(b)+64 {
			t.Fatalf("%d bytes became %d", len(b), len(once))
		}
		again, err := DecodeRequest(r.Op(), once)
		if err != nil {
			t.Fatalf("%x from %x: %v", once, b, err)
		}
		if twice := again.Append(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
	})
}

func FuzzReply(f *testing.F) {
	for op, all := range replies() {
		for _, r := range all {
			if r != nil {
				f.Add(int32(op), r.Append(nil))
			}
		}
	}
	f.Fuzz(func(t *testing.T, op int32, b []byte) {
		r, err := DecodeReply(Op(op), b)
		if err != nil || r == nil {
			return
		}
		once := r.Append(nil)
		again, err := DecodeReply(Op(op), once)
		if err != nil {
			t.Fatalf("%x from %x: %v", once, b, err)
		}
		if twice := again.Append(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
	})
}

func FuzzTxn(f *testing.F) {
	for op, txn := range txns() {
		f.Add(AppendTxn(nil, TxnHeader{Session: 1, Zxid: 2, Type: op}, txn, &TxnDigest{Version: 2, Tree: 3}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, txn, digest, err := DecodeTxn(b)
		if err != nil {
			return
		}
		once := AppendTxn(nil, h, txn, digest)
		h2, txn2, digest2, err := DecodeTxn(once)
		if err != nil {
			t.Fatalf("%x from %x: %v", once, b, err)
		}
		if twice := AppendTxn(nil, h2, txn2, digest2); !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
	})
}

func FuzzConnect(f *testing.F) {
	f.Add((&ConnectRequest{Password: make([]byte, 16), HasReadOnly: true}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodeConnectRequest(b); err == nil {
			if again, err := DecodeConnectRequest(r.Append(nil)); err != nil || !bytes.Equal(again.Append(nil), r.Append(nil)) {
				t.Fatal(again, err)
			}
		}
		if r, err := DecodeConnectResponse(b); err == nil {
			if _, err := DecodeConnectResponse(r.Append(nil)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
