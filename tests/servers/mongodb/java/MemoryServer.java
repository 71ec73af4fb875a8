import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;

/** A server in memory, on a port of 127.0.0.1, until it is killed. */
public final class MemoryServer {
	private MemoryServer() {
	}

	public static void main(String[] args) {
		new MongoServer(new MemoryBackend()).bind("127.0.0.1",
		    Integer.parseInt(args[0]));
	}
}
