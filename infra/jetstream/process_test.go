package jetstream_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
)

// play is this test binary as another process.
func play(role string) int {
	var err error
	switch role {
	case "nats":
		err = playNATS(os.Getenv("KANVAS_TEST_DIR"), os.Getenv("KANVAS_TEST_PORT"), os.Getenv("KANVAS_TEST_MAX_PAYLOAD"), os.Getenv("KANVAS_TEST_ROUTES"))
	case "append":
		err = playAppend(os.Getenv("KANVAS_TEST_DIR"))
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// playNATS is a real NATS server on a loopback port, until it is killed. routes are the ports of a cluster, its own first.
func playNATS(dir, port, payload, routes string) error {
	p, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	max, err := strconv.Atoi(payload)
	if err != nil {
		return err
	}
	opts := &server.Options{ServerName: "n" + port, Host: "127.0.0.1", Port: p, JetStream: true, StoreDir: dir,
		SyncAlways: true, MaxPayload: int32(max), NoSigs: true}
	if routes != "" {
		opts.Cluster = server.ClusterOpts{Name: "kanvas-test", Host: "127.0.0.1"}
		all := strings.Split(routes, ",")
		if opts.Cluster.Port, err = strconv.Atoi(all[0]); err != nil {
			return err
		}
		opts.Routes = server.RoutesFromStr("nats://127.0.0.1:" + strings.Join(all[1:], ",nats://127.0.0.1:"))
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	ns.Start()
	if !ns.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("not ready")
	}
	fmt.Println("ready")
	ns.WaitForShutdown()
	return nil
}

const crashRooms = 6

func crashRoom(i int) events.Stream { return events.Room(fmt.Sprintf("crash-%d", i)) }

// playAppend appends to its rooms for ever, going on where they are, and prints "room seq n" for each ack.
func playAppend(dir string) error {
	s, err := jetstream.Open(context.Background(), jetstream.Config{Dir: dir, Logger: quiet(), Partitions: 3})
	if err != nil {
		return err
	}
	errs := make(chan error)
	out := make(chan string)
	go func() {
		for line := range out {
			fmt.Println(line) // one write(2) a line
		}
	}()
	for i := range crashRooms {
		go func() { errs <- appendForEver(s, i, out) }()
	}
	return <-errs
}

func appendForEver(s *jetstream.Store, room int, out chan<- string) error {
	last, _, err := s.Last(context.Background(), crashRoom(room))
	if err != nil {
		return err
	}
	n, after := number(last.Payload)+1, last.Seq
	for ; ; n++ {
		seq, err := s.Append(context.Background(), crashRoom(room), after, payloadOf(n, after))
		if err != nil {
			return err
		}
		out <- fmt.Sprintf("%d %d %d", room, seq, n)
		after = seq
	}
}

// payloadOf is commit n of a chain: it names the sequence before it, and has a size that varies.
func payloadOf(n int, prev uint64) []byte {
	return fmt.Appendf(nil, "%d %d %s", n, prev, strings.Repeat("x", (n*7919)%5000))
}

func number(payload []byte) int {
	n, _, _ := parse(payload)
	return n
}

func parse(payload []byte) (n int, prev uint64, ok bool) {
	_, err := fmt.Sscanf(string(payload), "%d %d ", &n, &prev)
	return n, prev, err == nil
}

// process is a running child.
type process struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

// startProcess runs this binary in a role; env is NAME=value.
func startProcess(t *testing.T, role string, env ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), "KANVAS_TEST_ROLE="+role), env...)
	cmd.Stderr = t.Output()
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, out: bufio.NewScanner(pipe)}
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9; what the child had printed can still be scanned. It may be called twice.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // it may have ended by itself
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// startNATS runs a server in a process of its own and returns once it takes connections.
func startNATS(t *testing.T, dir, port string, maxPayload int, env ...string) *process {
	t.Helper()
	p := startProcess(t, "nats", append(env, "KANVAS_TEST_DIR="+dir, "KANVAS_TEST_PORT="+port, "KANVAS_TEST_MAX_PAYLOAD="+strconv.Itoa(maxPayload))...)
	if !p.out.Scan() || p.out.Text() != "ready" {
		t.Fatalf("the NATS process says %q", p.out.Text())
	}
	return p
}
