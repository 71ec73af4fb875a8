import ca.uhn.fhir.interceptor.api.Hook;
import ca.uhn.fhir.interceptor.api.Interceptor;
import ca.uhn.fhir.interceptor.api.Pointcut;
import ca.uhn.fhir.rest.api.server.RequestDetails;
import ca.uhn.fhir.rest.server.exceptions.AuthenticationException;
import com.fasterxml.jackson.databind.ObjectMapper;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/**
 * Asks the authorization server about the token of each request (RFC 7662), so
 * that one which has ended is refused at once.  Its scopes are not looked at.
 */
@Interceptor
public final class Tokens {
	private static final String SCHEME = "Bearer ";

	private final HttpClient http = HttpClient.newHttpClient();
	private final ObjectMapper json = new ObjectMapper();
	private final URI url;
	private final String credentials;

	/** credentials: "client:secret" of who may ask. */
	Tokens(String url, String credentials) {
		this.url = URI.create(url);
		this.credentials = "Basic " + Base64.getEncoder()
		    .encodeToString(credentials.getBytes(StandardCharsets.UTF_8));
	}

	@Hook(Pointcut.SERVER_INCOMING_REQUEST_POST_PROCESSED)
	public void check(RequestDetails request)
	    throws IOException, InterruptedException {
		String header = request.getHeader("Authorization");

		if ("metadata".equals(request.getRequestPath())) {
			return;
		}
		if (header == null || !header.startsWith(SCHEME)) {
			throw new AuthenticationException("no bearer token");
		}
		if (!isActive(header.substring(SCHEME.length()))) {
			throw new AuthenticationException(
			    "the bearer token is unknown or has ended");
		}
	}

	private boolean isActive(String token)
	    throws IOException, InterruptedException {
		HttpResponse<String> answer = http.send(
		    HttpRequest.newBuilder(url)
		    .header("Content-Type", "application/x-www-form-urlencoded")
		    .header("Authorization", credentials)
		    .POST(HttpRequest.BodyPublishers.ofString("token=" +
		    URLEncoder.encode(token, StandardCharsets.UTF_8)))
		    .build(), HttpResponse.BodyHandlers.ofString());

		return answer.statusCode() == HttpServletResponse.SC_OK &&
		    json.readTree(answer.body()).path("active").asBoolean();
	}

	/** The answer to .well-known/smart-configuration. */
	static final class Configuration extends HttpServlet {
		private final String tokenUrl;

		Configuration(String tokenUrl) {
			this.tokenUrl = tokenUrl;
		}

		@Override
		protected void doGet(HttpServletRequest request,
		    HttpServletResponse answer) throws IOException {
			answer.setContentType("application/json");
			new ObjectMapper().writeValue(answer.getWriter(), Map.of(
			    "token_endpoint", tokenUrl,
			    "grant_types_supported",
			    List.of("client_credentials"),
			    "token_endpoint_auth_methods_supported",
			    List.of("private_key_jwt"),
			    "token_endpoint_auth_signing_alg_values_supported",
			    List.of("RS384", "ES384"),
			    "scopes_supported", List.of("system/*.rs"),
			    "capabilities", List.of(
			    "client-confidential-asymmetric", "permission-v2")));
		}
	}
}
