// oidc-provider as the authorization server of SMART Backend Services, on a free
// port of 127.0.0.1, until it is killed.
//
//	node server.mjs ID SECRET
//
// It says "READY URL" once it answers.  Clients register themselves (RFC 7591)
// with their public keys; "token_seconds" among what they say of themselves is
// how long their tokens live.  ID and SECRET: who may look at tokens (RFC 7662).
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const TOKEN_SECONDS = 300;
const TYPES = ['*', 'Patient', 'Condition', 'Observation', 'Group',
  'PlanDefinition', 'ActivityDefinition', 'RegulatedAuthorization'];
const SCOPES = TYPES.flatMap((type) =>
  [`system/${type}.rs`, `system/${type}.read`]);
const [id, secret] = process.argv.slice(2);

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: id, client_secret: secret,
      grant_types: [], response_types: [], redirect_uris: [],
      token_endpoint_auth_method: 'client_secret_basic',
    }],
    clientAuthMethods: ['private_key_jwt', 'client_secret_basic'],
    enabledJWA: { clientAuthSigningAlgValues: ['RS384', 'ES384'] },
    extraClientMetadata: { properties: ['token_seconds'] },
    scopes: SCOPES,
    ttl: {
      ClientCredentials: (context, token, client) =>
        client.token_seconds ?? TOKEN_SECONDS,
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: {
        enabled: true,
        allowedPolicy: (context, client) => client.clientId === id,
      },
      registration: { enabled: true },
      revocation: { enabled: true },
    },
  });
  // Why a request was refused, which clients are not told.
  for (const event of ['server_error', 'grant.error',
    'introspection.error', 'registration_create.error']) {
    provider.on(event, (context, error) => console.error(event,
      error.message, error.error_description, error.error_detail));
  }
  server.on('request', provider.callback());
  console.log(`READY ${issuer}`);
});
