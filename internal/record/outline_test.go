package record

import (
	"math/rand/v2"
	"testing"
)

// TestQuickOutline: what the quick way accepts, the careful way accepts and reads alike; and a record that lies whole in
// memory and is sound does not need the careful way.
func TestQuickOutline(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	whole := []byte(nil)
	for _, h := range [][]Header{nil, {{"h", []byte("v")}}, {{"", nil}, {"long", make([]byte, 200)}}} {
		for _, key := range [][]byte{nil, {}, []byte("key"), make([]byte, 70)} {
			for _, value := range [][]byte{nil, {}, []byte("value"), make([]byte, 20_000)} {
				w := NewBuilder(BuilderOptions{})
				w.Append(0, nil, nil)
				w.Append(1<<40, key, value, h...)
				one := w.Build().Payload()
				s := source{buf: one, eof: true}
				if _, err := walkOutline(&s); err != nil {
					t.Fatal(err)
				}
				one = one[s.pos:]
				whole = append(whole[:0], one...)
				if o, size, ok := quickOutline(append(whole, 1, 2, 3)); !ok || size != len(one) || o.hasKey != (key != nil) || o.offsetDelta != 1 || o.timestampDelta != 1<<40 {
					t.Fatalf("key of %d, value of %d bytes: %+v, %d, %v", len(key), len(value), o, size, ok)
				}
				for range 2000 {
					broken := append([]byte(nil), one[:1+random.IntN(len(one))]...)
					for range random.IntN(4) {
						broken[random.IntN(min(len(broken), 40))] = byte(random.Uint32())
					}
					s := source{buf: broken, eof: true}
					slow, err := walkOutline(&s)
					quick, size, ok := quickOutline(broken)
					if ok != (err == nil) || ok && (quick != slow || size != s.pos) {
						t.Fatalf("% x:\nquick %+v, %d, %v\nslow  %+v, %d, %v", broken, quick, size, ok, slow, s.pos, err)
					}
				}
			}
		}
	}
}
