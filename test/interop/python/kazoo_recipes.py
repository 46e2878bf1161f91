"""kazoo's recipes, watches, transactions and sessions against a server: kazoo_recipes.py HOST:PORT. Prints what happened,
so that two servers can be compared, and ends with 1 if it is not what it must be."""

import socket
import sys
import threading

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, NoAuthError, NodeExistsError, NoNodeError, NotEmptyError, RolledBackError, RuntimeInconsistency
from kazoo.recipe.barrier import Barrier, DoubleBarrier
from kazoo.recipe.cache import TreeCache
from kazoo.recipe.watchers import ChildrenWatch, DataWatch
from kazoo.security import make_digest_acl

PATIENCE = 30
address = sys.argv[1]
clients = []


def client(**options):
    c = KazooClient(hosts=address, timeout=8, **options)
    c.start(timeout=PATIENCE)
    clients.append(c)
    return c


def check(what, got, want):
    print(f"{what}: {got!r}", flush=True)
    if got != want:
        print(f"  expected {want!r}")
        sys.exit(1)


def raises(what, error, call, *args, **options):
    try:
        got = call(*args, **options)
    except error as e:
        print(f"{what}: {type(e).__name__}", flush=True)
        return
    print(f"{what}: {got!r}, not {error.__name__}")
    sys.exit(1)


def in_threads(*calls):
    failed = []

    def run(call):
        try:
            call()
        except BaseException as e:  # reported below
            failed.append(e)

    threads = [threading.Thread(target=run, args=(c,), daemon=True) for c in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
    if failed or any(t.is_alive() for t in threads):
        print("threads failed or did not end:", failed)
        sys.exit(1)


a, b = client(), client()

# Nodes.
check("create", a.create("/kazoo", b"x"), "/kazoo")
raises("create again", NodeExistsError, a.create, "/kazoo")
raises("no parent", NoNodeError, a.create, "/kazoo/none/x")
check("ensure", bool(a.ensure_path("/kazoo/deep/er")), True)
raises("delete with children", NotEmptyError, a.delete, "/kazoo/deep")
raises("set an old version", BadVersionError, a.set, "/kazoo", b"y", version=7)
check("set", a.set("/kazoo", b"y").version, 1)
check("get", b.get("/kazoo")[0], b"y")
check("sequence", [a.create("/kazoo/s-", sequence=True) for _ in range(2)], ["/kazoo/s-0000000001", "/kazoo/s-0000000002"])
check("create with stat", a.create("/kazoo/stat", b"1", include_data=True)[1].dataLength, 1)
check("sync", a.sync("/kazoo"), "/kazoo")

# Transactions.
t = a.transaction()
t.create("/kazoo/t", b"1")
t.set_data("/kazoo/t", b"2")
t.check("/kazoo/t", 1)
t.delete("/kazoo/stat")
results = t.commit()
check("transaction", (results[0], results[1].version, results[2], results[3]), ("/kazoo/t", 1, True, True))
t = a.transaction()
t.create("/kazoo/t2")
t.check("/kazoo/t", 9)
t.delete("/kazoo/t")
check("transaction that fails", [type(r) for r in t.commit()], [RolledBackError, BadVersionError, RuntimeInconsistency])
check("nothing of it", a.exists("/kazoo/t2"), None)

# Access.
a.add_auth("digest", "ann:secret")
a.create("/kazoo/mine", b"x", acl=[make_digest_acl("ann", "secret", all=True)])
raises("another's read", NoAuthError, b.get, "/kazoo/mine")
check("mine", a.get("/kazoo/mine")[0], b"x")

# Watches.
events = []
seen = threading.Event()


def heard(event):
    events.append((event.type, event.path))
    seen.set()


check("watch", b.exists("/kazoo/w", watch=heard), None)
a.create("/kazoo/w", b"0")
check("heard", (seen.wait(PATIENCE), events), (True, [("CREATED", "/kazoo/w")]))

values, children = [], []
four, three, after = threading.Event(), threading.Event(), threading.Event()


def data_watch(data, stat):
    values.append(data)
    if data == b"4":
        four.set()
    if data == b"after":
        after.set()


def children_watch(names):
    children[:] = sorted(names)
    if len(names) == 3:
        three.set()


DataWatch(b, "/kazoo/w", data_watch)
ChildrenWatch(b, "/kazoo/w", children_watch)
for i in range(1, 5):
    a.set("/kazoo/w", b"%d" % i)
for i in range(3):
    a.create(f"/kazoo/w/{i}")
check("data watch", four.wait(PATIENCE) and (values[0], values[-1], values == sorted(values)), (b"0", b"4", True))
check("children watch", three.wait(PATIENCE) and children, ["0", "1", "2"])

cached = threading.Event()
cache = TreeCache(b, "/kazoo/deep")
cache.listen(lambda e: cached.set() if cache.get_data("/kazoo/deep/er/new", None) else None)
cache.start()
a.create("/kazoo/deep/er/new", b"there")
check("tree cache", cached.wait(PATIENCE) and cache.get_data("/kazoo/deep/er/new").data, b"there")
cache.close()

# A lock: nobody is in it twice.
inside, most, entered = [0], [0], [0]


def contend(c):
    for _ in range(5):
        with c.Lock("/kazoo/lock", "me"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            entered[0] += 1
            inside[0] -= 1


in_threads(*[lambda c=c: contend(c) for c in (a, b, client(), client())])
check("lock", (entered[0], most[0]), (20, 1))

# An election: each leads once.
led = []
in_threads(*[lambda c=c, n=n: c.Election("/kazoo/election", n).run(lambda: led.append(n)) for n, c in enumerate(clients)])
check("election", sorted(led), list(range(len(clients))))

barrier = Barrier(a, "/kazoo/barrier")
barrier.create()
in_threads(lambda: Barrier(b, "/kazoo/barrier").wait(PATIENCE), barrier.remove)
check("barrier", a.exists("/kazoo/barrier"), None)


def twice(c):
    d = DoubleBarrier(c, "/kazoo/double", 3)
    d.enter()
    d.leave()


in_threads(*[lambda c=c: twice(c) for c in clients[:3]])
print("double barrier: passed")

# Queues: everything once.
queue = a.Queue("/kazoo/queue")
for i in range(10):
    queue.put(b"%d" % i)
check("queue", [b.Queue("/kazoo/queue").get() for _ in range(10)], [b"%d" % i for i in range(10)])
taken = []


def take(c):
    q = c.LockingQueue("/kazoo/locking")
    while len(taken) < 10:
        if q.get(timeout=1) is not None:
            taken.append(1)
            q.consume()


a.LockingQueue("/kazoo/locking").put_all([b"x"] * 10)
in_threads(lambda: take(a), lambda: take(b))
check("locking queue", (len(taken), len(a.LockingQueue("/kazoo/locking"))), (10, 0))

counters = [c.Counter("/kazoo/counter") for c in (a, b)]


def count(counter):
    for _ in range(10):
        counter += 1


in_threads(*[lambda c=c: count(c) for c in counters])
check("counter", counters[0].value, 20)

parties = [a.Party("/kazoo/party", "a"), b.Party("/kazoo/party", "b")]
for p in parties:
    p.join()
check("party", sorted(parties[0]), ["a", "b"])
for p in parties:
    p.leave()

semaphores = [c.Semaphore("/kazoo/semaphore", max_leases=2) for c in clients[:3]]
check("semaphore", [s.acquire(blocking=False) for s in semaphores], [True, True, False])
for s in semaphores[:2]:
    s.release()

# A connection that breaks: the session, its nodes and its watches live on.
b.create("/kazoo/e", ephemeral=True)
session = b.client_id[0]
again = threading.Event()
states = []


def state(s):
    states.append(s)
    if s == KazooState.CONNECTED:
        again.set()


b.add_listener(state)
b._connection._socket.shutdown(socket.SHUT_RDWR)
check("again", again.wait(PATIENCE) and states, [KazooState.SUSPENDED, KazooState.CONNECTED])
check("the same session", b.client_id[0] == session and b.exists("/kazoo/e").ephemeralOwner == session, True)
a.set("/kazoo/w", b"after")
check("its data watch", after.wait(PATIENCE), True)

gone = threading.Event()
a.exists("/kazoo/e", watch=lambda e: gone.set())
b.stop()
check("gone with its session", (gone.wait(PATIENCE), a.exists("/kazoo/e")), (True, None))
a.delete("/kazoo", recursive=True)
check("at the end", [n for n in a.get_children("/") if n != "zookeeper"], [])
for c in clients:
    c.stop()
print("all recipes work")
