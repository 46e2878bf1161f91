package cli_test

import (
	"context"
	"net"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"gregor/internal/zookeeper"
)

// TestZookeeperScripts runs the stories of testdata/zookeeper, each with a ZooKeeper server of its own at $ZK. What the
// shell prints there is what Apache's zookeeper-shell of Kafka 3.9.2 printed for the same commands.
func TestZookeeperScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/zookeeper",
		Setup: func(env *testscript.Env) error {
			s, err := zookeeper.Start(context.Background(), zookeeper.Config{DataDir: env.WorkDir + "/data", ClientPortAddress: "localhost", ExtendedTypes: true}, nil)
			if err != nil {
				return err
			}
			_, port, err := net.SplitHostPort(s.Addr().String())
			if err != nil {
				return err
			}
			exitAtOnce(env)
			env.Setenv("ZK", "localhost:"+port)
			env.Setenv("TZ", "UTC")
			env.Defer(func() {
				if err := s.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
			return nil
		},
	})
}
