package wire

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every response that kmsg can write has the shape that the table says, and nothing shorter has it.
func TestResponseShapesAgreeWithTheCodec(t *testing.T) {
	shapes := ResponseShapes()
	r := rand.New(rand.NewPCG(5, 6))
	n := 0
	for key, api := range shapes.apis {
		if kmsg.ResponseForKey(key) == nil {
			continue
		}
		for v := api.min; v <= min(api.max, kmsg.ResponseForKey(key).MaxVersion()); v++ {
			for round := range 8 {
				resp := kmsg.ResponseForKey(key)
				resp.SetVersion(v)
				fill(r, reflect.ValueOf(resp).Elem(), round == 0)
				body := resp.AppendTo(nil)
				if _, err := shapes.Check(key, v, body); err != nil {
					t.Errorf("%s version %d: %v\n%x", kmsg.NameForKey(key), v, err, body)
					break
				}
				for cut := range len(body) {
					if _, err := shapes.Check(key, v, body[:cut]); err == nil {
						t.Errorf("%s version %d: %d of %d bytes pass", kmsg.NameForKey(key), v, cut, len(body))
						break
					}
				}
				n++
			}
		}
	}
	if n < 1000 {
		t.Fatalf("only %d responses were tried", n)
	}
}
