import ca.uhn.fhir.batch2.jobs.config.Batch2JobsConfig;
import ca.uhn.fhir.batch2.jobs.export.BulkDataExportProvider;
import ca.uhn.fhir.batch2.maintenance.JobMaintenanceServiceImpl;
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.config.ThreadPoolFactoryConfig;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.batch2.JpaBatch2Config;
import ca.uhn.fhir.jpa.binary.api.IBinaryStorageSvc;
import ca.uhn.fhir.jpa.binstore.MemoryBinaryStorageSvcImpl;
import ca.uhn.fhir.jpa.config.HapiJpaConfig;
import ca.uhn.fhir.jpa.config.HibernatePropertiesProvider;
import ca.uhn.fhir.jpa.config.r4b.JpaR4BConfig;
import ca.uhn.fhir.jpa.config.util.HapiEntityManagerFactoryUtil;
import ca.uhn.fhir.jpa.model.config.PartitionSettings;
import ca.uhn.fhir.jpa.model.config.SubscriptionSettings;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirH2Dialect;
import ca.uhn.fhir.jpa.provider.IJpaSystemProvider;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.searchparam.submit.config.SearchParamSubmitterConfig;
import ca.uhn.fhir.jpa.subscription.channel.config.SubscriptionChannelConfig;
import ca.uhn.fhir.jpa.subscription.match.config.SubscriptionProcessorConfig;
import ca.uhn.fhir.jpa.subscription.match.deliver.email.IEmailSender;
import ca.uhn.fhir.jpa.subscription.submit.config.SubscriptionSubmitterConfig;
import ca.uhn.fhir.jpa.topic.SubscriptionTopicConfig;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import com.zaxxer.hikari.HikariDataSource;
import jakarta.persistence.EntityManagerFactory;
import java.util.HashMap;
import java.util.Map;
import javax.sql.DataSource;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.hibernate.dialect.Dialect;
import org.springframework.beans.factory.config.BeanPostProcessor;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.context.ApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Primary;
import org.springframework.orm.jpa.JpaTransactionManager;
import org.springframework.orm.jpa.LocalContainerEntityManagerFactoryBean;
import org.springframework.web.context.ContextLoaderListener;
import org.springframework.web.context.support.AnnotationConfigWebApplicationContext;

/**
 * HAPI's FHIR server (R4B) with Bulk Data, over a database in memory, on a free
 * port of 127.0.0.1, until it is killed.
 *
 * <p>The same data twice: at /fhir for everybody, and at /smart for those who
 * bring a token.  It says where in a line "READY URL".  Nothing of what HAPI
 * does is changed, but how often it looks after its jobs.
 *
 * <p>Arguments: the URLs where tokens are to be had and where they are looked
 * at, and "client:secret" for the latter.
 */
public final class HapiServer {
	/** HAPI's own is a minute, so that an export takes some of them. */
	private static final long JOBS_MS = 500;
	/** Resources in a file, so that a small export has many files. */
	private static final int MAX_FILE_RESOURCES = 20;
	private static final int MAX_PAGE = 1000;
	private static final int MAX_CONNECTIONS = 20;

	private HapiServer() {
	}

	/** What HAPI leaves to who runs it. */
	@Configuration
	@Import({HapiJpaConfig.class, JpaR4BConfig.class,
	    SubscriptionSubmitterConfig.class,
	    SubscriptionProcessorConfig.class, SubscriptionChannelConfig.class,
	    SubscriptionTopicConfig.class, SearchParamSubmitterConfig.class,
	    ThreadPoolFactoryConfig.class, JpaBatch2Config.class,
	    Batch2JobsConfig.class})
	public static class Parts {
		@Bean
		public DataSource dataSource() {
			HikariDataSource source = new HikariDataSource();
			source.setJdbcUrl("jdbc:h2:mem:fhir;DB_CLOSE_DELAY=-1");
			source.setUsername("sa");
			source.setPassword("");
			source.setMaximumPoolSize(MAX_CONNECTIONS);
			return source;
		}

		@Primary
		@Bean
		public LocalContainerEntityManagerFactoryBean
		    entityManagerFactory(ConfigurableListableBeanFactory beans,
		    FhirContext fhir, JpaStorageSettings storage,
		    DataSource source) {
			Map<String, Object> settings = new HashMap<>();
			settings.put("hibernate.dialect",
			    HapiFhirH2Dialect.class.getName());
			settings.put("hibernate.hbm2ddl.auto", "update");
			settings.put("hibernate.jdbc.batch_size", "20");
			settings.put("hibernate.cache.use_query_cache", "false");
			settings.put("hibernate.cache.use_second_level_cache",
			    "false");
			settings.put("hibernate.search.enabled", "false");
			LocalContainerEntityManagerFactoryBean factory =
			    HapiEntityManagerFactoryUtil.newEntityManagerFactory(
			    beans, fhir, storage);
			factory.setPersistenceUnitName("HAPI_PU");
			factory.setJpaPropertyMap(settings);
			factory.setDataSource(source);
			return factory;
		}

		@Primary
		@Bean
		public JpaTransactionManager transactionManager(
		    EntityManagerFactory factory) {
			return new JpaTransactionManager(factory);
		}

		@Primary
		@Bean
		public HibernatePropertiesProvider hibernateProperties() {
			Dialect dialect = new HapiFhirH2Dialect();
			return new HibernatePropertiesProvider() {
				@Override
				public Dialect getDialect() {
					return dialect;
				}
			};
		}

		@Bean
		public JpaStorageSettings storageSettings() {
			JpaStorageSettings settings = new JpaStorageSettings();
			settings.setResourceClientIdStrategy(
			    JpaStorageSettings.ClientIdStrategyEnum.ANY);
			settings.setEnforceReferentialIntegrityOnWrite(false);
			settings.setEnforceReferentialIntegrityOnDelete(false);
			settings.setReuseCachedSearchResultsForMillis(null);
			settings.setBulkExportFileMaximumCapacity(
			    MAX_FILE_RESOURCES);
			return settings;
		}

		@Bean
		public static BeanPostProcessor oftenLookAfterJobs() {
			return new BeanPostProcessor() {
				@Override
				public Object postProcessAfterInitialization(
				    Object bean, String name) {
					if (bean instanceof
					    JobMaintenanceServiceImpl jobs) {
						jobs.setScheduledJobFrequencyMillis(
						    JOBS_MS);
					}
					return bean;
				}
			};
		}

		@Bean
		public PartitionSettings partitionSettings() {
			return new PartitionSettings();
		}

		@Bean
		public SubscriptionSettings subscriptionSettings() {
			return new SubscriptionSettings();
		}

		@Bean
		public IEmailSender emailSender() {
			return details -> { };
		}

		@Bean
		public IBinaryStorageSvc binaryStorage() {
			return new MemoryBinaryStorageSvcImpl();
		}
	}

	/** One of the two ways to the data; tokens: null for everybody's. */
	static final class Front extends RestfulServer {
		private final transient ApplicationContext parts;
		private final transient Tokens tokens;

		Front(ApplicationContext parts, Tokens tokens) {
			this.parts = parts;
			this.tokens = tokens;
		}

		@Override
		protected void initialize() {
			IFhirSystemDao<?, ?> system =
			    parts.getBean(IFhirSystemDao.class);
			DatabaseBackedPagingProvider pages =
			    parts.getBean(DatabaseBackedPagingProvider.class);

			setFhirContext(system.getContext());
			registerProviders(parts.getBean(
			    ResourceProviderFactory.class).createProviders());
			registerProvider(parts.getBean(IJpaSystemProvider.class));
			registerProvider(
			    parts.getBean(BulkDataExportProvider.class));
			setServerConformanceProvider(
			    new JpaCapabilityStatementProvider(this, system,
			    parts.getBean(JpaStorageSettings.class),
			    parts.getBean(ISearchParamRegistry.class),
			    parts.getBean(IValidationSupport.class)));
			pages.setMaximumPageSize(MAX_PAGE);
			setPagingProvider(pages);
			setDefaultResponseEncoding(EncodingEnum.JSON);
			if (tokens != null) {
				registerInterceptor(tokens);
			}
		}
	}

	public static void main(String[] args) throws Exception {
		AnnotationConfigWebApplicationContext parts =
		    new AnnotationConfigWebApplicationContext();
		parts.setAllowCircularReferences(true);
		parts.register(Parts.class);

		ServletContextHandler web = new ServletContextHandler();
		web.setContextPath("/");
		web.addEventListener(new ContextLoaderListener(parts));
		ServletHolder open = new ServletHolder(new Front(parts, null));
		ServletHolder smart = new ServletHolder(new Front(parts,
		    new Tokens(args[1], args[2])));
		// One after the other, and before the first request.
		open.setInitOrder(1);
		smart.setInitOrder(2);
		web.addServlet(open, "/fhir/*");
		web.addServlet(smart, "/smart/*");
		web.addServlet(new ServletHolder(
		    new Tokens.Configuration(args[0])),
		    "/smart/.well-known/smart-configuration");

		Server server = new Server();
		ServerConnector connector = new ServerConnector(server);
		connector.setHost("127.0.0.1");
		server.addConnector(connector);
		server.setHandler(web);
		server.start();
		System.out.println("READY http://127.0.0.1:" +
		    connector.getLocalPort());
		server.join();
	}
}
